plugins {
    alias(libs.plugins.android.library)
}

group = "lesionlite" // other builds ask for lesionlite:classifier

android {
    namespace = "lesionlite.classifier"
    compileSdk = libs.versions.compileSdk.get().toInt()
    resourcePrefix = "classifier_" // an app merges these texts with its own

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin {
    explicitApi()
}

dependencies {
    api(project(":core"))
    implementation(libs.litert)
    implementation(libs.litert.gpu)
}
