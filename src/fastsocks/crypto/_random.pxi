# Random bytes of the kernel.

cdef extern from "fastsocks/crypto/entropy.h" nogil:
    ctypedef struct Entropy "fastsocks_entropy":
        pass

    Entropy *open_entropy "fastsocks_open_entropy"() noexcept
    int take_random "fastsocks_random"(Entropy *pool, uint8_t *out, size_t size) noexcept

# Lives as long as the process.
cdef Entropy *entropy = open_entropy()


def random_bytes(Py_ssize_t size):
    """Return `size` bytes from the kernel's generator."""
    if size < 0:
        raise ValueError("a negative size")
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
    if random_raw(<uint8_t *>PyBytes_AS_STRING(out), size):
        raise OSError("the kernel gives no random bytes")
    return out


cdef int random_raw(uint8_t *out, size_t n) noexcept:
    return take_random(entropy, out, n)
