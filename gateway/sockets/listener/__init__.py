"""The one port: HTTP and WebSocket connections, before there is a session."""
