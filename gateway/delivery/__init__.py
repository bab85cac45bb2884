"""From an announcement to those who listen on this worker: topics, streams without gaps, frames."""
