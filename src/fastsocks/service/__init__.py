"""The services: an inbound, policy and an outbound each, and connection set-up."""
