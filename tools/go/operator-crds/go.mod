module pulumi-caches/tools/operator-crds

go 1.26

// Nothing is compiled: only its custom resource definitions and its chart are copied.
require github.com/OT-CONTAINER-KIT/redis-operator v0.23.0
