"""What a user declares, checked: schemas, triggers, components, and the graph that they make. Reads and writes nothing."""
