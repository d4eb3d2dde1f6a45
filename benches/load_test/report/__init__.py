"""The report: a page of Markdown, its charts, and every number as JSON."""
