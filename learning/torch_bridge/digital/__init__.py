"""Networks in plain torch: built from the network language, trained digitally, their losses. It never sees a tile."""
