"""What the tests share: servers, a database each, people to act as, recorded calls."""
