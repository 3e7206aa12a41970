"""`python -m dpcloud` is `dpcloud`."""

from dpcloud.cli import main

if __name__ == "__main__":
    main()
