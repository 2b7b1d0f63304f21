"""`deploy/kubernetes`: rendered, held against schemas and this project's own names, and run as far as that goes here.

`kustomized` renders, `kinds` has the schemas. What is rendered is judged by `test_rendered`, `test_schemas`,
`test_names` and `test_scaling`; the guide by `test_guide`. `test_pods` runs the pods' commands and probes, `test_redis`
the Redis of the overlay `sentinel`.
"""
