"""All SQL that is about tables, tasks, states and search: written once, for every back end."""
