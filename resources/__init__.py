"""The floor: everything the API, the pipeline, the sensors and the console share. Imports nothing above it."""
