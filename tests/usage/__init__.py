"""What programs do to a module of e3nn, in any order: see `fuzz`."""
