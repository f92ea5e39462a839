"""Measures what the components cost against the same objects written by hand with pulumi_kubernetes."""
