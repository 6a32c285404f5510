"""The report of a device fit: verdict, figures, laws, everything that was counted. It never fits."""
