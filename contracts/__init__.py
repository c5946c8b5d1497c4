"""The words every room shares: ids, enums, models, errors, prices, settings. Imports nothing of ours."""
