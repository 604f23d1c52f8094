"""Several hosts on one machine, by network namespaces: the production files without a container engine."""
