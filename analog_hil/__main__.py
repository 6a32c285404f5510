"""`python -m analog_hil` is `analog-hil`."""

import sys

from analog_hil._start import main

sys.exit(main())
