# SPDX-License-Identifier: Apache-2.0
"""Notes, and how many each author has."""
