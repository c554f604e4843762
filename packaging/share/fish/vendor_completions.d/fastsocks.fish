fastsocks completion fish | source
