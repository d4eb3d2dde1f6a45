"""What benchmarks and acceptance runs share: processes, errors, turns, CPU time, an AWS of moto."""
