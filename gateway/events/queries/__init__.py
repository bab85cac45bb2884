"""SQL for events of the CRM."""
