"""What a trial is worth: verdict, caveats, and what nobody saw."""
