"""The steps that the Snakefile runs, each in a process of its own."""

import argparse
import sys

from medxai.book.target import EDITIONS, Target
from medxai.files import write


def main() -> int:
    """Run one step; errors that an author can cause are told in one sentence, which is also kept for the end."""
    parser = argparse.ArgumentParser(prog="python -m medxai.book", description=__doc__)
    parser.add_argument("step", choices=("listing", "chapter", "site"))
    parser.add_argument("names", nargs="+", metavar="NAME", help="of a study, a chapter, or the site's chapters")
    parser.add_argument("--profile", required=True)
    parser.add_argument("--edition", choices=EDITIONS, required=True)
    arguments = parser.parse_args()
    target = Target(arguments.profile, arguments.edition)
    from medxai.book.execute import ChapterFailed, execute
    from medxai.book.listing import list_trials
    from medxai.book.site import SiteFailed, make

    try:
        if arguments.step == "site":
            make(target, arguments.names)
        elif arguments.step == "listing":
            list_trials(arguments.names[0], target)
        else:
            execute(arguments.names[0], target)
    except (ChapterFailed, SiteFailed, ValueError) as error:
        write(target.failed / f"{arguments.names[0]}.txt", f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
