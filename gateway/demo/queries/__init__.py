"""SQL for the demo CRM."""
