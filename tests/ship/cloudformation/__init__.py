"""The template of deploy/cloudformation, as text and as a stack in moto."""
