"""SQL that looks at the views of the CRM."""
