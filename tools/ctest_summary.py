#!/usr/bin/env python3
"""Adds up the JUnit files that ctest wrote and prints `N passed, N failed`.

usage: ctest_summary.py [--failed N] FILE...   (--failed: checks outside ctest that failed)
Exit 1 if anything failed, was not run without saying that it skips, or no test ran at all.
"""
import sys
import xml.etree.ElementTree as ElementTree


def is_skipped(case):
    """A test that said itself that it cannot run here, by its exit code."""
    skipped = case.find("skipped")
    return skipped is not None and "SKIP_RETURN_CODE" in skipped.get("message", "")


def main():
    args = sys.argv[1:]
    passed, failed = 0, 0
    if args[:1] == ["--failed"]:
        failed += int(args[1])
        args = args[2:]
    for path in args:
        try:
            cases = list(ElementTree.parse(path).iter("testcase"))
        except (OSError, ElementTree.ParseError) as error:
            print(f"{path}: {error}")
            failed += 1
            continue
        for case in cases:
            if case.get("status") == "run" and case.find("failure") is None:
                passed += 1
            elif case.get("status") == "disabled":
                continue
            elif is_skipped(case):
                print(f"skipped: {case.get('name')} ({path})")
            else:
                failed += 1
                print(f"failed: {case.get('name')} ({path})")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
