"""Several pulses at once: tables that are composed from one pulse, and cells that use them."""
