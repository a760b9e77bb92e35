"""What bounds work: fairness, rates, resources, builds, suspects."""
