// Versions stand in gradle/libs.versions.toml; here the plugins are only put on one class path.
plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.kotlin.compose) apply false
    alias(libs.plugins.kotlin.jvm) apply false
}
