import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

group = "lesionlite" // the classifier needs it as lesionlite:core

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_17
    }
}

dependencies {
    // Android has org.json. The unit tests run without Android and take it from Maven.
    compileOnly(libs.json)
    testImplementation(libs.json)
    testImplementation(libs.kotlin.test.junit)
}

tasks.test {
    // `lesionlite embed` copies the cases into the app; in the template they are beside it.
    val cases =
        listOf("cases.json", "../cases.json").map { rootDir.resolve(it) }.first { it.exists() }
    val model = rootDir.resolve("app/src/main/assets/model")
    inputs.file(cases)
    inputs.files(fileTree(model))
    systemProperty("cases", cases.path)
    systemProperty("model", model.path)
}
