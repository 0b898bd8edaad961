"""What can be done to labels: each edit is a small class that plans a `Change` from a `Scene`, and changes nothing."""
