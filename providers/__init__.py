"""One port per outside service (payments, generation, alerts, notifications), one module per vendor."""
