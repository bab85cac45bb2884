"""PBXs that listen on a port and play recordings."""
