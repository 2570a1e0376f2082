"""``python -m evidence``."""

import sys

from evidence.harness.command import main

if __name__ == "__main__":
    sys.exit(main())
