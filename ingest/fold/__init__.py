"""From the events of one call to its state: pure, and the same for every order of the events."""
