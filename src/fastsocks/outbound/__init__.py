"""What leads to targets: rules, upstreams, and the choice among servers."""
