# Datagrams in batches; see datagrams.h.

cdef extern from "fastsocks/net/datagrams.h" nogil:
    ctypedef struct sockaddr_any "struct sockaddr":
        unsigned short sa_family

    # A socket address of either family.
    ctypedef union Name "fastsocks_name":
        sockaddr_any any

    # An address of ours that a datagram came to; no family where it is not known.
    ctypedef struct Arrival "fastsocks_arrival":
        int family

    ctypedef struct Inbox "fastsocks_inbox":
        Name* names

    ctypedef struct Outbox "fastsocks_outbox":
        int refused
        int refused_fd
        int messages_used
        unsigned long long dropped

    enum:
        BATCH "FASTSOCKS_BATCH"

    int name_size "fastsocks_name_size"(const Name* name) noexcept
    bint same_name "fastsocks_same_name"(const Name* one, const Name* other) noexcept
    void take_scope "fastsocks_take_scope"(Name* name, const Name* source) noexcept
    void set_port_of "fastsocks_copy_port"(Name* name, const Name* source) noexcept
    void name_of_wire "fastsocks_name_of_wire"(Name* name, const unsigned char* wire) noexcept
    int wire_before "fastsocks_wire_before"(const Name* name, unsigned char* end) noexcept

    void open_inbox "fastsocks_open_inbox"(
        Inbox* inbox, unsigned char* memory, size_t slot
    ) noexcept
    # Before the slots are freed.
    void close_inbox "fastsocks_close_inbox"(Inbox* inbox) noexcept
    int receive_batch "fastsocks_receive_batch"(Inbox* inbox, int fd) noexcept
    unsigned char* message_at "fastsocks_message"(Inbox* inbox, int i) noexcept
    int message_size "fastsocks_message_size"(const Inbox* inbox, int i) noexcept
    int segment_size "fastsocks_segment_size"(Inbox* inbox, int i) noexcept
    void arrival_of "fastsocks_arrival_of"(Inbox* inbox, int i, Arrival* arrival) noexcept
    void coalesce "fastsocks_coalesce"(int fd) noexcept

    void queue_datagram "fastsocks_queue"(
        Outbox* outbox,
        int fd,
        const Name* name,
        const Arrival* source,
        unsigned char* data,
        int size,
    ) noexcept
    void flush_outbox "fastsocks_flush"(Outbox* outbox) noexcept
