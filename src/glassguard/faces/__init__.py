"""From pictures of people to aligned faces with eye positions."""
