module pulumi-caches/tools/monitoring-crds

go 1.26

// Nothing is compiled: only its custom resource definitions are copied.
require github.com/prometheus-operator/prometheus-operator v0.85.0
