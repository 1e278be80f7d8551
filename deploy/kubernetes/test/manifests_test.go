// Package test renders the Kubernetes manifests as kubectl does and reads them
// as the API server does: strictly, by the types of the API. It is a module of
// its own, so that none of this becomes a dependency of the program.
package test

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// scaledObject is KEDA's type, as far as the manifest uses it: KEDA's own
// module brings hundreds of others.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount int32 `json:"minReplicaCount"`
		MaxReplicaCount int32 `json:"maxReplicaCount"`
		PollingInterval int32 `json:"pollingInterval"`
		CooldownPeriod  int32 `json:"cooldownPeriod"`
		Triggers        []struct {
			Type     string            `json:"type"`
			Name     string            `json:"name"`
			Metadata map[string]string `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// recordsName is the name of the objects of the records.
const recordsName = "capture-records"

// manifests are the rendered objects, by kind; those of the records by kind and
// name.
type manifests struct {
	t       *testing.T
	objects map[string]runtime.Object
	scaled  *scaledObject
}

func render(t *testing.T, folder string) manifests {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("..", folder))
	if err != nil {
		t.Fatal(err)
	}
	m := manifests{t: t, objects: map[string]runtime.Object{}}
	for _, resource := range rendered.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if resource.GetNamespace() != "payments" {
			t.Errorf("%s is in namespace %q", resource.CurId(), resource.GetNamespace())
		}
		if resource.GetKind() == "ScaledObject" {
			m.scaled = &scaledObject{}
			err = yaml.UnmarshalStrict(text, m.scaled)
		} else {
			key := resource.GetKind()
			if resource.GetName() == recordsName {
				key += " " + recordsName
			}
			m.objects[key], _, err = decoder.Decode(text, nil, nil)
		}
		if err != nil {
			t.Errorf("%s: %v", resource.CurId(), err)
		}
	}
	return m
}

func get[T runtime.Object](m manifests, kind string) T {
	m.t.Helper()
	object, ok := m.objects[kind].(T)
	if !ok {
		m.t.Fatalf("there is no %s among %v", kind, m.objects)
	}
	return object
}

func TestManifestsFitTogether(t *testing.T) {
	for _, folder := range []string{"base", "keda", "reconcile", "records"} {
		t.Run(folder, func(t *testing.T) {
			m := render(t, folder)
			deployment := get[*appsv1.Deployment](m, "Deployment")
			pod := labels.Set(deployment.Spec.Template.Labels)
			for what, selector := range map[string]*metav1.LabelSelector{
				"Deployment":          deployment.Spec.Selector,
				"PodDisruptionBudget": get[*policyv1.PodDisruptionBudget](m, "PodDisruptionBudget").Spec.Selector,
				"NetworkPolicy":       &get[*networkingv1.NetworkPolicy](m, "NetworkPolicy").Spec.PodSelector,
				"spread":              deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector,
			} {
				s, err := metav1.LabelSelectorAsSelector(selector)
				if err != nil || s.Empty() || !s.Matches(pod) {
					t.Errorf("the selector of the %s, %v, does not find the pods %v: %v", what, selector, pod, err)
				}
			}
			if account := get[*corev1.ServiceAccount](m, "ServiceAccount"); account.Name != deployment.Spec.Template.Spec.ServiceAccountName {
				t.Errorf("the pods run as %s, the account is %s", deployment.Spec.Template.Spec.ServiceAccountName, account.Name)
			}
			if (deployment.Spec.Replicas == nil) != (folder == "keda") {
				t.Errorf("replicas are %v", deployment.Spec.Replicas)
			}
		})
	}
}

// The records are beside the workers, with the settings of these.
func TestRecordsFitTogether(t *testing.T) {
	m := render(t, "records")
	deployment := get[*appsv1.Deployment](m, "Deployment "+recordsName)
	spec, pod := deployment.Spec.Template.Spec, labels.Set(deployment.Spec.Template.Labels)
	for what, selector := range map[string]*metav1.LabelSelector{
		"Deployment":    deployment.Spec.Selector,
		"NetworkPolicy": &get[*networkingv1.NetworkPolicy](m, "NetworkPolicy "+recordsName).Spec.PodSelector,
	} {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(pod) {
			t.Errorf("the selector of the %s, %v, does not find the pods %v: %v", what, selector, pod, err)
		}
	}
	if workers, err := metav1.LabelSelectorAsSelector(get[*appsv1.Deployment](m, "Deployment").Spec.Selector); err != nil || workers.Matches(pod) {
		t.Errorf("the workers' selector finds the records: %v", err)
	}
	if config := get[*corev1.ConfigMap](m, "ConfigMap"); spec.Volumes[0].ConfigMap.Name != config.Name {
		t.Errorf("the pod mounts %s, the settings are in %s", spec.Volumes[0].ConfigMap.Name, config.Name)
	}
	c := spec.Containers[0]
	dsn := c.VolumeMounts[1].MountPath + "/" + spec.Volumes[1].Secret.Items[0].Path
	if !slices.Contains(c.Env, corev1.EnvVar{Name: "CAPTURE_RECORDS_DSN_FILE", Value: dsn}) || !slices.Equal(c.Args, []string{"records"}) {
		t.Errorf("the records are started with %v and %v, the database is named in %s", c.Args, c.Env, dsn)
	}
	if *deployment.Spec.Replicas != 1 || deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("%d replicas by %s: two processes would fill one database", *deployment.Spec.Replicas, deployment.Spec.Strategy.Type)
	}
}

// The pods are as closed as the image allows.
func TestPodIsClosed(t *testing.T) {
	m := render(t, "records")
	closed(t, get[*appsv1.Deployment](m, "Deployment").Spec.Template.Spec)
	closed(t, get[*appsv1.Deployment](m, "Deployment "+recordsName).Spec.Template.Spec)
}

func closed(t *testing.T, spec corev1.PodSpec) {
	t.Helper()
	c := spec.Containers[0]
	for what, holds := range map[string]bool{
		"one container":     len(spec.Containers) == 1,
		"not root":          *spec.SecurityContext.RunAsNonRoot && *spec.SecurityContext.RunAsUser == 65532,
		"seccomp":           spec.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"no token":          !*spec.AutomountServiceAccountToken,
		"read-only":         *c.SecurityContext.ReadOnlyRootFilesystem,
		"no escalation":     !*c.SecurityContext.AllowPrivilegeEscalation,
		"no capabilities":   slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}),
		"memory is bounded": !c.Resources.Limits.Memory().IsZero(),
		"the key is no variable": !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
			return e.Name == "CAPTURE_GATEWAY_SECRET_KEY" || e.Name == "CAPTURE_RECORDS_DSN"
		}),
		"read-only configuration": !slices.ContainsFunc(c.VolumeMounts, func(v corev1.VolumeMount) bool { return !v.ReadOnly }),
	} {
		if !holds {
			t.Errorf("does not hold: %s", what)
		}
	}
}

// What is mounted is what is read, and the probes ask where it listens.
func TestPodHangsTogether(t *testing.T) {
	m := render(t, "base")
	spec := get[*appsv1.Deployment](m, "Deployment").Spec.Template.Spec
	c := spec.Containers[0]
	for path, probe := range map[string]*corev1.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != c.Ports[0].Name {
			t.Errorf("a probe asks %v, want %s at %s", probe.HTTPGet, path, c.Ports[0].Name)
		}
	}
	config := get[*corev1.ConfigMap](m, "ConfigMap")
	if spec.Volumes[0].ConfigMap.Name != config.Name || config.Data["capture.yaml"] == "" {
		t.Errorf("the pods mount %s, the settings are in %s", spec.Volumes[0].ConfigMap.Name, config.Name)
	}
	// In the environment, not among the arguments: other commands, run in the
	// container by operators, must read it too.
	settings := corev1.EnvVar{Name: "CAPTURE_CONFIG", Value: c.VolumeMounts[0].MountPath + "/capture.yaml"}
	if !slices.Equal(c.Args, []string{"run"}) || !slices.Contains(c.Env, settings) {
		t.Errorf("the worker is started with %v and %v", c.Args, c.Env)
	}
	keyFile := c.VolumeMounts[1].MountPath + "/" + spec.Volumes[1].Secret.Items[0].Path
	if !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
		return e.Name == "CAPTURE_GATEWAY_SECRET_KEY_FILE" && e.Value == keyFile
	}) {
		t.Errorf("the key is mounted at %s and read elsewhere: %v", keyFile, c.Env)
	}
	if c.VolumeMounts[1].SubPath != "" {
		t.Error("a file of a subPath does not change under a running process")
	}
}

// The scaler's names are those of KEDA's documentation.
func TestScalerScalesTheDeployment(t *testing.T) {
	m := render(t, "keda")
	if m.scaled == nil || m.scaled.Spec.ScaleTargetRef.Name != get[*appsv1.Deployment](m, "Deployment").Name {
		t.Fatalf("nothing scales the deployment: %+v", m.scaled)
	}
	if len(m.scaled.Spec.Triggers) == 0 || m.scaled.Spec.MinReplicaCount < 1 {
		t.Errorf("the scaler is %+v", m.scaled.Spec)
	}
	for _, trigger := range m.scaled.Spec.Triggers {
		if trigger.Type != "nats-jetstream" {
			t.Errorf("trigger %+v", trigger)
		}
		for _, name := range []string{"natsServerMonitoringEndpoint", "account", "stream", "consumer", "lagThreshold"} {
			if trigger.Metadata[name] == "" {
				t.Errorf("trigger %s has no %s", trigger.Name, name)
			}
		}
		if len(trigger.Metadata) != 5 {
			t.Errorf("trigger %s has other members: %v", trigger.Name, trigger.Metadata)
		}
	}
}

// The morning's run sees what the workers see, and is as closed as they are.
func TestReconcileRunsAsTheWorkersDo(t *testing.T) {
	m := render(t, "reconcile")
	worker := get[*appsv1.Deployment](m, "Deployment").Spec.Template
	job := get[*batchv1.CronJob](m, "CronJob").Spec.JobTemplate.Spec
	pod, ours, theirs := job.Template.Spec, job.Template.Spec.Containers[0], worker.Spec.Containers[0]
	policy, err := metav1.LabelSelectorAsSelector(&get[*networkingv1.NetworkPolicy](m, "NetworkPolicy").Spec.PodSelector)
	if err != nil {
		t.Fatal(err)
	}
	budget, err := metav1.LabelSelectorAsSelector(get[*policyv1.PodDisruptionBudget](m, "PodDisruptionBudget").Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	for what, holds := range map[string]bool{
		"the same image":           ours.Image == theirs.Image,
		"reconcile is run":         ours.Args[0] == "reconcile",
		"the same user":            *pod.SecurityContext.RunAsUser == *worker.Spec.SecurityContext.RunAsUser,
		"the same network":         policy.Matches(labels.Set(job.Template.Labels)),
		"not in the budget":        !budget.Matches(labels.Set(job.Template.Labels)),
		"no token":                 !*pod.AutomountServiceAccountToken,
		"read-only":                *ours.SecurityContext.ReadOnlyRootFilesystem,
		"no second run of a day":   *job.BackoffLimit == 0,
		"the same settings":        reflect.DeepEqual(ours.Env, theirs.Env[:3]),
		"the same mounts":          reflect.DeepEqual(ours.VolumeMounts[:2], theirs.VolumeMounts[:2]),
		"the same configuration":   pod.Volumes[0].ConfigMap.Name == worker.Spec.Volumes[0].ConfigMap.Name,
		"the same key of the user": pod.Volumes[1].Secret.SecretName == worker.Spec.Volumes[1].Secret.SecretName,
	} {
		if !holds {
			t.Errorf("does not hold: %s", what)
		}
	}
}
