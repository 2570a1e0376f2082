"""``python -m narrowfloat``: the command `narrowfloat`."""

import sys

from narrowfloat.command import main

sys.exit(main())
