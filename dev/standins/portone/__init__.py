"""PortOne V2, as far as this platform uses it, after its public REST reference: `python -m dev.standins.portone`."""
