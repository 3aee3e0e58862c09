"""Why a window was open, on evidence only."""
