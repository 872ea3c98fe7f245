"""The command line: commands parse, call one public function and print its tables."""
