"""How good it is: metrics, intervals, probes, projections, figures and the report page. Arrays in, arrays out."""
