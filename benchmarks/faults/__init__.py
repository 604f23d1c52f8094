"""Four faults that an operator meets, staged on a real stack and watched by its own telemetry."""
