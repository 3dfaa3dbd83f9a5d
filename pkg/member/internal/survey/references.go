// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package survey

import (
	"encoding/json"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// The resources that objects refer to.
var (
	configMaps      = velero.Resource{Version: "v1", Name: "configmaps", Kind: "ConfigMap", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true}
	secrets         = velero.Resource{Version: "v1", Name: "secrets", Kind: "Secret", Singular: "secret", Namespaced: true}
	serviceAccounts = velero.Resource{Version: "v1", Name: "serviceaccounts", Kind: "ServiceAccount", Singular: "serviceaccount", ShortNames: []string{"sa"}, Namespaced: true}
	claims          = velero.Resource{Version: "v1", Name: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Singular: "persistentvolumeclaim", ShortNames: []string{"pvc"}, Namespaced: true}
	roles           = velero.Resource{Group: rbacv1.GroupName, Version: "v1", Name: "roles", Kind: "Role", Singular: "role", Namespaced: true}
	clusterRoles    = velero.Resource{Group: rbacv1.GroupName, Version: "v1", Name: "clusterroles", Kind: "ClusterRole", Singular: "clusterrole"}
	priorityClasses = velero.Resource{Group: "scheduling.k8s.io", Version: "v1", Name: "priorityclasses", Kind: "PriorityClass", Singular: "priorityclass", ShortNames: []string{"pc"}}
	runtimeClasses  = velero.Resource{Group: "node.k8s.io", Version: "v1", Name: "runtimeclasses", Kind: "RuntimeClass", Singular: "runtimeclass"}
	ingressClasses  = velero.Resource{Group: "networking.k8s.io", Version: "v1", Name: "ingressclasses", Kind: "IngressClass", Singular: "ingressclass"}
)

// object is an object with the fields that a survey of a source reads.
type object struct {
	Metadata metadata         `json:"metadata"`
	Spec     json.RawMessage  `json:"spec"`
	Status   json.RawMessage  `json:"status"`
	RoleRef  rbacv1.RoleRef   `json:"roleRef"`
	Subjects []rbacv1.Subject `json:"subjects"`
}

type metadata struct {
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// podSpecOf returns the spec of a Pod, or of the template of what makes Pods; nil if a resource has none.
func podSpecOf(resource string, o *object) *corev1.PodSpec {
	switch resource {
	case "pods":
		var spec corev1.PodSpec
		if json.Unmarshal(o.Spec, &spec) == nil {
			return &spec
		}
	case "deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps", "jobs.batch":
		var spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		}
		if json.Unmarshal(o.Spec, &spec) == nil {
			return &spec.Template.Spec
		}
	case "cronjobs.batch":
		var spec batchv1.CronJobSpec
		if json.Unmarshal(o.Spec, &spec) == nil {
			return &spec.JobTemplate.Spec.Template.Spec
		}
	}
	return nil
}

// referencesOf returns the objects that an object of a resource refers to, and needs.
func referencesOf(resource velero.Resource, o *object) []migration.Reference {
	c := &collector{from: itemOf(resource, migration.ObjectKey{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name})}
	if pod := podSpecOf(resource.String(), o); pod != nil {
		c.addPod(pod)
	}
	switch resource.String() {
	case "rolebindings.rbac.authorization.k8s.io":
		c.addBinding(o)
	case "ingresses.networking.k8s.io":
		var spec networkingv1.IngressSpec
		if json.Unmarshal(o.Spec, &spec) != nil {
			break
		}
		for _, tls := range spec.TLS {
			c.add(secrets, tls.SecretName)
		}
		if spec.IngressClassName != nil {
			c.add(ingressClasses, *spec.IngressClassName)
		}
	}
	return c.found
}

// collector collects the references of an object.
type collector struct {
	from  velero.Item
	found []migration.Reference
}

// add adds a reference to an object of that name, in the namespace of the object. Every cluster has some of
// them of its own.
func (c *collector) add(resource velero.Resource, name string) {
	if !isName(name) {
		return
	}
	key := migration.ObjectKey{Name: name}
	if resource.Namespaced {
		key.Namespace = c.from.Namespace
	}
	if !velero.IsOwn(itemOf(resource, key)) {
		c.found = append(c.found, migration.Reference{From: c.from, Resource: resource, To: key})
	}
}

// addUnless adds a reference that is not optional.
func (c *collector) addUnless(optional *bool, resource velero.Resource, name string) {
	if optional == nil || !*optional {
		c.add(resource, name)
	}
}

func (c *collector) addPod(pod *corev1.PodSpec) {
	c.add(serviceAccounts, pod.ServiceAccountName)
	for _, secret := range pod.ImagePullSecrets {
		c.add(secrets, secret.Name)
	}
	if name := pod.PriorityClassName; name != "system-cluster-critical" && name != "system-node-critical" {
		c.add(priorityClasses, name)
	}
	if pod.RuntimeClassName != nil {
		c.add(runtimeClasses, *pod.RuntimeClassName)
	}
	for i := range pod.Volumes {
		c.addVolume(&pod.Volumes[i].VolumeSource)
	}
	for i := range pod.InitContainers {
		c.addContainer(&pod.InitContainers[i])
	}
	for i := range pod.Containers {
		c.addContainer(&pod.Containers[i])
	}
}

func (c *collector) addVolume(v *corev1.VolumeSource) {
	switch {
	case v.ConfigMap != nil:
		c.addUnless(v.ConfigMap.Optional, configMaps, v.ConfigMap.Name)
	case v.Secret != nil:
		c.addUnless(v.Secret.Optional, secrets, v.Secret.SecretName)
	case v.PersistentVolumeClaim != nil:
		c.add(claims, v.PersistentVolumeClaim.ClaimName)
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			if source.ConfigMap != nil {
				c.addUnless(source.ConfigMap.Optional, configMaps, source.ConfigMap.Name)
			}
			if source.Secret != nil {
				c.addUnless(source.Secret.Optional, secrets, source.Secret.Name)
			}
		}
	}
}

func (c *collector) addContainer(container *corev1.Container) {
	for _, from := range container.EnvFrom {
		if from.ConfigMapRef != nil {
			c.addUnless(from.ConfigMapRef.Optional, configMaps, from.ConfigMapRef.Name)
		}
		if from.SecretRef != nil {
			c.addUnless(from.SecretRef.Optional, secrets, from.SecretRef.Name)
		}
	}
	for _, variable := range container.Env {
		if variable.ValueFrom == nil {
			continue
		}
		if from := variable.ValueFrom.ConfigMapKeyRef; from != nil {
			c.addUnless(from.Optional, configMaps, from.Name)
		}
		if from := variable.ValueFrom.SecretKeyRef; from != nil {
			c.addUnless(from.Optional, secrets, from.Name)
		}
	}
}

func (c *collector) addBinding(o *object) {
	switch o.RoleRef.Kind {
	case "Role":
		c.add(roles, o.RoleRef.Name)
	case "ClusterRole":
		c.add(clusterRoles, o.RoleRef.Name)
	}
	for _, subject := range o.Subjects {
		if subject.Kind == rbacv1.ServiceAccountKind && subject.Namespace == o.Metadata.Namespace {
			c.add(serviceAccounts, subject.Name)
		}
	}
}
