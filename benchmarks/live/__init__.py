"""What an answer of the warm search costs: make bench-live."""
