"""Methods that propagate by rules of their own, all of one engine."""
